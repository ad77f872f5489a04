//! Where the labs and the book lie.

use std::path::{Path, PathBuf};

/// The folder that holds `labs/` and `book/`: the repository, or a teacher's pack laid out like it; and the packs whose
/// labs and hidden checks are added to it.
#[derive(Clone, Debug)]
pub struct Workbook {
    root: PathBuf,
    packs: Vec<PathBuf>,
}

/// No folder with a `labs/order.yaml` was found.
#[derive(Debug, thiserror::Error)]
#[error(
    "no labs here: neither {} nor a folder above it holds labs/order.yaml\n\
     go to the folder you cloned, or name it: --workbook DIR, or PODLAB_WORKBOOK=DIR", .searched.display()
)]
pub struct NoWorkbook {
    /// The folder the search began in.
    pub searched: PathBuf,
}

impl Workbook {
    /// The workbook whose root is `root`; nothing is read yet.
    pub fn at(root: impl Into<PathBuf>) -> Workbook {
        Workbook { root: root.into(), packs: Vec::new() }
    }

    /// Looks in `start` and upwards, then where this program was built from.
    ///
    /// # Errors
    ///
    /// When neither holds a `labs/order.yaml`.
    pub fn find(start: &Path) -> Result<Workbook, NoWorkbook> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        start
            .ancestors()
            .chain(built_from)
            .find(|folder| folder.join("labs/order.yaml").is_file())
            .map(Workbook::at)
            .ok_or_else(|| NoWorkbook { searched: start.to_owned() })
    }

    /// The same with these packs: see [`mod@crate::pack`].
    #[must_use]
    pub fn with_packs(self, packs: Vec<PathBuf>) -> Workbook {
        Workbook { packs, ..self }
    }

    /// The packs that are added to it.
    pub fn packs(&self) -> &[PathBuf] {
        &self.packs
    }

    /// The folder that holds both.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with one folder for each lab.
    pub fn labs(&self) -> PathBuf {
        self.root.join("labs")
    }

    /// The folder with `book.toml`.
    pub fn book(&self) -> PathBuf {
        self.root.join("book")
    }
}
