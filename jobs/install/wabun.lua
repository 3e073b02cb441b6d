-- wabun for Lmod.  `make install` puts it at PREFIX/share/lmod/wabun/VERSION.lua:
--     module use PREFIX/share/lmod; module load wabun
-- Copied to the site's own tree, it needs the prefix here:
local prefix = nil
prefix = prefix or myFileName():match("^(.*)/share/lmod/wabun/[^/]*$")

help([[wabun trains and uses Japanese GPT-2 models on clusters of ordinary processors: wabun help, man wabun.]])
whatis("Name: wabun")
whatis("Description: Japanese GPT-2 on clusters of processors")
conflict("wabun")

-- The MPI that wabun was built with, by the site's name for it:
-- depends_on("openmpi")

prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("MANPATH", pathJoin(prefix, "share/man"))
append_path("MANPATH", "")
for _, lib in ipairs({pathJoin(prefix, "lib"), pathJoin(prefix, "lib64")}) do
  if isFile(pathJoin(lib, "pkgconfig/wabun-tokenizer.pc")) then
    prepend_path("PKG_CONFIG_PATH", pathJoin(lib, "pkgconfig"))
    prepend_path("LD_LIBRARY_PATH", lib)
  end
end
