mod names;
mod own;
mod pki;
mod trust;
