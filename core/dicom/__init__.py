"""DICOM: files in, scans out; a de-identified copy."""
