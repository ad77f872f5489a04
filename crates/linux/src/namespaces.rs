//! Namespaces: what a Pod sees.
