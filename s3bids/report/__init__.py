"""What a study or a download holds: counted, as one HTML page, and as plots.

Made of catalogs, manifests and participant tables; knows no study, so that studies can draw themselves.
"""
