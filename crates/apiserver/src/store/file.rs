//! The store's file: a redb database with the objects and the revision of the last write.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Change, ChangeKind, FIRST_REVISION, Key, Object, ObjectName};

/// Group, resource, namespace, name.
type Place = (&'static str, &'static str, &'static str, &'static str);
/// Revision, where the resourceVersion stands in the JSON, JSON.
type Content = (u64, u32, &'static [u8]);

const OBJECTS: TableDefinition<'_, Place, Content> = TableDefinition::new("objects");
/// `revision` → the revision of the last write.
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const REVISION: &str = "revision";

/// Everything is in memory anyway; the database need not remember pages.
const CACHE_BYTES: usize = 4 << 20;

pub(super) struct File {
    path: PathBuf,
    /// `None` after a failure that it could not be opened again from.
    database: Option<Database>,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, redb::Error> {
        let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        // Pages of deleted objects are used again, but the file does not shrink by itself.
        let length = std::fs::metadata(path).map_or(0, |file| file.len());
        if length > 32 << 20 {
            database.compact()?;
        }
        Ok(Self { path: path.to_owned(), database: Some(database) })
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::PreviousIo)
    }

    /// Tells every object; returns the revision of the last write.
    pub(super) fn load(&self, mut tell: impl FnMut((&str, &str), ObjectName, Object)) -> Result<u64, redb::Error> {
        let transaction = self.database()?.begin_read()?;
        let objects = match transaction.open_table(OBJECTS) {
            Ok(objects) => objects,
            // A new file.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(FIRST_REVISION),
            Err(error) => return Err(error.into()),
        };
        for row in objects.iter()? {
            let (key, value) = row?;
            let (group, resource, namespace, name) = key.value();
            let (revision, version_at, json) = value.value();
            let object = Object::from_parts(revision, version_at, json.to_vec());
            tell((group, resource), ObjectName::new(namespace, name), object);
        }
        let counters = transaction.open_table(COUNTERS)?;
        Ok(counters.get(REVISION)?.map_or(FIRST_REVISION, |revision| revision.value()))
    }

    /// Makes changes durable, all or none: when this returns, they survive the machine's power.
    ///
    /// After a failure (the disk was full) a database takes nothing any more until it is opened again, which is tried
    /// here: the disk may have room by now.
    pub(super) fn commit(&mut self, revision: u64, changes: &[(Key, Change)]) -> Result<(), redb::Error> {
        match self.try_commit(revision, changes) {
            Err(redb::Error::PreviousIo) => {
                self.open_again(changes)?;
                self.try_commit(revision, changes)
            }
            result => result,
        }
    }

    fn open_again(&mut self, changes: &[(Key, Change)]) -> Result<(), redb::Error> {
        // Its lock goes with it.
        self.database = None;
        let again = Self::open(&self.path)?;
        // The commit that failed must not be there: nobody was told of it. (Where it is, the next start shows it.)
        let last = again.load(|_, _, _| {})?;
        if changes.first().is_some_and(|(_, change)| change.revision > last) {
            *self = again;
            return Ok(());
        }
        Err(redb::Error::Corrupted("a write that failed is in the file: podlab stop, podlab start".to_owned()))
    }

    fn try_commit(&self, revision: u64, changes: &[(Key, Change)]) -> Result<(), redb::Error> {
        let mut transaction = self.database()?.begin_write()?;
        // After a crash, open takes milliseconds instead of a walk through the whole file.
        transaction.set_quick_repair(true);
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for (key, change) in changes {
                let row = (key.resource.group, key.resource.resource, key.name.namespace(), key.name.name());
                match change.kind {
                    ChangeKind::Deleted => objects.remove(row)?,
                    _ => objects.insert(row, (change.revision, change.object.version_at(), change.object.json()))?,
                };
            }
            transaction.open_table(COUNTERS)?.insert(REVISION, revision)?;
        }
        transaction.commit()?;
        Ok(())
    }
}
