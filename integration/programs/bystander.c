/* A library that others preload beside ours: it must stay loaded in jobs. */
int bystander_is_loaded = 1;
