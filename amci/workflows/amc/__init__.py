"""AMC's endpoints and the documents they take and give."""
