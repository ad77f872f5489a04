//! The API server: store, HTTP, watch, discovery, OpenAPI, and the streams into Pods.
