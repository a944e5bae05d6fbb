"""menulens: menu photos in; labels, a classifier, feature vectors and similar photos out."""

__version__ = "0.1.0"
