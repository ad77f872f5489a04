//! The lab format, its runner, the checks and grading, and the book's preprocessor.
