//! Command line, configuration file and the one validated [Config].
