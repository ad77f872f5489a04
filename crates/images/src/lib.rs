//! The image store: a content-addressed OCI layout, unpacking, and the images that are built in.
//!
//! An *image* is a configuration (what to run, as whom, with which environment) and a stack of *layers* (directories of
//! files). A container's root is an overlay mount whose lower directories are the layers, so a hundred containers of one
//! image share its files, and starting one copies nothing.
//!
//! Where to look:
//!
//! * [`Reference`]: what people write (`nginx`) and what it means (`docker.io/library/nginx:latest`).
//! * [`Store`]: which images are here, and where their layers lie.
//! * [`builtin`]: the images that need no network: their programs are applets of the `podlab` binary.
//!
//! On disk a store is a directory:
//!
//! ```text
//! oci-layout  index.json  blobs/sha256/…   what was pulled or loaded, as any OCI tool reads it
//! layers/…                                 those layers unpacked, a directory each, named by digest
//! built-in/KEY/…                           the layers of the built-in images
//! tmp/                                     work in progress; what lies here after a crash is never used
//! ```
//!
//! Everything appears under its final name by one `rename`, whole or not at all, so any number of processes may open
//! one store at the same time.

mod archive;
pub mod builtin;
mod config;
mod digest;
mod error;
mod garbage;
mod layout;
mod manifest;
mod reference;
pub mod registry;
mod store;
mod stored;
pub mod unpack;
mod work;

pub use config::{ImageConfig, ImageRecord};
pub use digest::{Digest, InvalidDigest};
pub use error::ImageError;
pub use reference::{InvalidReference, Reference};
pub use store::Store;
