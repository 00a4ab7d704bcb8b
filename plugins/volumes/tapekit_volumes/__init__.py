"""Storage virtual machines and volumes on local directories, with Snapshot copies."""
