"""DICOM: files in, scans out; a de-identified copy; findings beside the image that they are of."""
