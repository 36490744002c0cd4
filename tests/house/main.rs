//! The house's own rules: who may name whom, what may be in the dependency graph, and that the documents, the bans and
//! the files say what is so. Everything here reads the checkout; nothing runs the product.

mod checkout;
mod documents;
mod files;
mod licence;
mod packages;
mod supply;
