"""Where figures come from: files, nodes, the host. Input and output only; nothing here knows of metrics pages."""
