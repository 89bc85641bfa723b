//! The generated messages, clients and servers of `postrider.v1`, and the
//! descriptor set they came from. Nothing is written by hand here.

#![expect(
    clippy::pedantic,
    clippy::large_enum_variant,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

tonic::include_proto!("postrider.v1");

/// The encoded `FileDescriptorSet` of the package and everything it imports.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
