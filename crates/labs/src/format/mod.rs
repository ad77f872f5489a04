//! What the folders under `labs/` contain.
//!
//! ```text
//! labs/order.yaml                     the labs, in the order they are read
//! labs/NAME/lab.yaml                  the lab: see [`Lab`]
//! labs/NAME/*.yaml …                  the manifests its steps use, as the texts print them
//! labs/NAME/snapshots/STEP.snap       what the step NAME prints, normalised
//! labs/NAME/exercises/EXERCISE/       see [`Exercise`]
//! labs/NAME/teacher.md                for those who teach with it: see `every_lab_has_a_page_for_teachers` in the tests
//! ```
//!
//! Everything is decoded strictly: an unknown field, a repeated key or a value that cannot be is an error that shows the
//! line it stands in.

mod exercise;
mod lab;
mod library;
mod span;
pub mod varied;

pub use exercise::{Check, Diagnosis, Exercise, Hints, Http, Kind, Observe, Run, WrongAnswer};
pub use lab::{Background, Command, Lab, Step, StopBackground, Wait};
pub use library::{Library, LibraryError};
pub use span::Span;
