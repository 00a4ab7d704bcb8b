"""Who answers the requests, one module an NDMP interface."""
