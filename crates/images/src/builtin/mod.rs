//! The images that are there from the start, without a network: the ones that the classic texts use.
//!
//! Their programs are applets of the `podlab` binary (`podlab-applets`), so an image is little more than a symbolic link
//! to one shared layer that holds the binary, on top of a userland taken from this machine ([`userland`]). Their ids and
//! digests are made from the catalogue below and not from the files, so they are the same on every machine and for every
//! build, and no start has to read a hundred megabytes to know them.

mod catalogue;
mod elf;
mod files;
mod fill;
mod tree;
mod userland;

pub use catalogue::BuiltIn;
pub(crate) use catalogue::{CATALOGUE, find};
pub(crate) use fill::Filled;
pub use fill::Sources;

/// This machine's busybox, if it has one that needs no libraries: the userland of the small images is made from it.
#[must_use]
pub fn static_busybox() -> Option<std::path::PathBuf> {
    userland::busybox(std::path::Path::new("/"))
}
