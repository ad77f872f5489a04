//! Links, addresses and routes.
