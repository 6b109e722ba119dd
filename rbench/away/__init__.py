"""Where jobs run: processes here, or workers of a Ray cluster; blocks travel back as bytes."""
