"""One SSH connection to a box: dialling, trust, streams and liveness. Use it through `remote.transport`."""
