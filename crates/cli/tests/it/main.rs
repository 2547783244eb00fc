//! The program as its users see it: arguments in; exit code, standard output and standard error out.

mod config;
mod help;
mod pages;
mod program;
