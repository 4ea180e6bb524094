/* The least that a preload library can be: what loading any library costs. */
void nothing(void) {}
