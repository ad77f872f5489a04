//! Statuses against those of a real cluster.
