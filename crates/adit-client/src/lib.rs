//! The sans-IO client: the same layers in the other role.
