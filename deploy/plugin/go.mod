module weft/plugin

go 1.24
