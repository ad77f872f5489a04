//! The image store: a content-addressed OCI layout, unpacking, and the images that are built in.
