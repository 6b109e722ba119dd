"""Corrupted datasets in the official layouts, and a contact sheet of all corruptions of one image."""
