//! The command line, on the real binary: what it prints, where, and how it ends.

mod databases;
mod manners;
mod place;
mod terminals;
