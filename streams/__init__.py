"""How it runs: the only package that knows Kafka, time, files, HTTP and the environment."""
