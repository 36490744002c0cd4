//! Curfew's wire: the generated protobuf packages, their conversions to and from the vocabulary, the mapping of
//! errors to gRPC statuses, and how clients dial.

/// `curfew.v1`: what operators and automation speak. The `.proto` files carry the reference.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod v1 {
    tonic::include_proto!("curfew.v1");
    include!(concat!(env!("OUT_DIR"), "/curfew.v1.serde.rs"));
}

/// `curfew.agent.v1`: what agents and the controller speak.
pub mod agent {
    /// The first version.
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
    pub mod v1 {
        tonic::include_proto!("curfew.agent.v1");
    }
}

/// The compiled descriptors of both packages, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/curfew_descriptor.bin"));

/// The version of the agents' protocol that this build speaks. 1: the first.
pub const PROTOCOL_VERSION: u32 = 1;

mod codec;
pub mod context;
pub mod convert;
pub mod dial;
pub mod identity;
pub mod status;
