//! The disk is full: who writes is told so, who reads does not notice, and with room again all goes on.
