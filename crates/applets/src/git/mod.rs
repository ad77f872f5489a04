//! A little of Git: enough to publish a folder as a repository, and to follow one from elsewhere.
//!
//! [`object`] is Git's model (everything is an object, named by the hash of what it holds), [`pack`] reads many objects
//! from one file, [`remote`] fetches them over plain HTTP (the protocol that needs nothing but a web server),
//! [`checkout`] makes files of a commit. On these stand two programs: [`sync`] is `git-sync`, [`origin`] the repository's
//! server. Upstream: <https://git-scm.com/docs/gitformat-pack>, <https://git-scm.com/docs/http-protocol>.

mod checkout;
mod object;
pub(crate) mod origin;
mod pack;
mod remote;
pub(crate) mod sync;

#[cfg(test)]
mod tests;
