//! Control groups: what a Pod may use, and what it does use.
