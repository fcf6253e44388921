(* What Eva reached, for prove.py: "DEF function file statements reached", and "DEAD function number file:line text" for the rest.
   Blocks are not counted: control goes to the statements in them. *)
open Cil_types

let is_block s = match s.skind with Block _ -> true | _ -> false

let one_line s =
  let text = Format.asprintf "%a" Cil_printer.pp_stmt s in
  String.map (fun c -> if c = '\n' then ' ' else c) (String.sub text 0 (min 60 (String.length text)))

let file kf = (fst (Kernel_function.get_location kf)).Filepath.pos_path

let report kf =
  let name = Kernel_function.get_name kf in
  let stmts = List.filter (fun s -> not (is_block s)) (Kernel_function.get_definition kf).sallstmts in
  let called = !Db.Value.is_called kf in
  let is_dead s = not called || not (Db.Value.is_reachable_stmt s) in
  let dead = List.filter is_dead stmts in
  Kernel.result "DEF %s %a %d %d" name Filepath.Normalized.pretty (file kf) (List.length stmts)
    (List.length stmts - List.length dead);
  if called then
    List.iteri (fun i s ->
      if is_dead s then
        Kernel.result "DEAD %s %d %a %s" name i Cil_datatype.Location.pretty (Cil_datatype.Stmt.loc s) (one_line s))
      stmts

let () =
  Db.Main.extend (fun () ->
    if Db.Value.is_computed () then
      Globals.Functions.iter (fun kf -> if Kernel_function.is_definition kf then report kf))
