"""ndmpcopy: data from one NDMP server straight to another, without tape."""
