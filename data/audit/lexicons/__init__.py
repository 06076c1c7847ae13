"""Short word lists that come with the project, one JSON object a file: groups, and the terms of each.

Compiled for it; the groups of `family_career` and `pleasant_unpleasant` are those of Caliskan et al. 2017
(doi:10.1126/science.aal4230). They are a start, in English, and no claim to be complete: name the file of a better one.
"""
