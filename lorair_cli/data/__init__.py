"""Clean photos, paired folders and degradation synthesis."""
