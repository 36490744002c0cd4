//! Compiles the protobuf packages with a pure Rust compiler, so that building needs no protoc.

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "curfew/v1/operation_service.proto",
        "curfew/v1/fleet_service.proto",
        "curfew/agent/v1/agent_service.proto",
    ];
    println!("cargo::rerun-if-changed=curfew");
    let descriptors = protox::compile(files, ["."])?;
    let encoded = descriptors.encode_to_vec();
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("curfew_descriptor.bin"), &encoded)?;
    // The well-known types come from pbjson, so that messages print as protobuf's own JSON.
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .codec_path("crate::codec::SmallBuffers")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new().register_descriptors(&encoded)?.build(&[".curfew.v1"])?;
    Ok(())
}
