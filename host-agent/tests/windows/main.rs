//! Windows guests through the real `qga` provider, against a stand-in for such a guest. What the stand-in cannot show is
//! said in its documentation.

mod languages;
mod listing;
mod logoffs;
mod logons;
mod notices;
mod refusals;
mod stand_in;
