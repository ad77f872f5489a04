//! A small client of the Kubernetes API over a Unix socket, TLS, or a call in the same process.
//!
//! Why not kube-rs: it adds a third to the time of a first build, and the parts of Podlab need five verbs and a watch.
//! The tests do use kube-rs, as a second client that nobody here wrote.
