"""Bulk labelling: videos, folders of images and bags to one Parquet file of hands per clip."""
