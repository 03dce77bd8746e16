-- Lists of what everybody may see, in the order of names.
CREATE INDEX namespaces_repository_visibility ON namespaces_repository (visibility, name);
