//! The command line, on the real binary: what it prints, where, and how it ends.

mod captures;
mod databases;
mod looking;
mod manners;
mod mocks;
mod place;
mod targets;
mod terminals;
