//! The memory limits of the deployment.
