"""The methods that the applications take; anything else is their framework's to refuse."""

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]
