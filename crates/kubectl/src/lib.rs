//! The built-in kubectl: the same words and the same output as the real one, with nothing to install.
