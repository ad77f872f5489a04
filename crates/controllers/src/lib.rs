//! The control loops: scheduler, namespaces, service accounts, node health, garbage collection.
